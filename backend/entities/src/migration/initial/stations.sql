-- Stations, their slots, and the power banks in them.

-- A cabinet that hands out power banks. Its id is also its name on the wire.
create table stations (
    id uuid not null primary key,
    station_name text not null,
    serial_number text not null unique,
    imei text unique,
    latitude double precision not null check (latitude between -90 and 90),
    longitude double precision not null check (longitude between -180 and 180),
    address text not null,
    landmark text,
    opening_time text check (length(opening_time) = 5),
    closing_time text check (length(closing_time) = 5),
    total_slots integer not null check (total_slots between 1 and 255),
    status text not null check (status in ('online', 'offline', 'maintenance')),
    is_maintenance boolean not null default false,
    hardware_info jsonb not null default '{}',
    last_heartbeat timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check ((opening_time is null) = (closing_time is null))
);
create index stations_updated on stations (updated_at);

-- A picture, film or plan of a station.
create table station_media (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    media_upload_id uuid not null unique references media_uploads (id),
    media_type text not null check (media_type in ('image', 'video', '360_view', 'floor_plan')),
    title text,
    description text,
    is_primary boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index station_media_station on station_media (station_id);
create unique index station_media_primary on station_media (station_id) where is_primary;

-- Something that may be found at stations, like wifi.
create table station_amenities (
    id uuid not null primary key,
    name text not null unique,
    icon text not null,
    description text not null,
    is_active boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- Which station has which amenity.
create table station_amenity_mappings (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    amenity_id uuid not null references station_amenities (id),
    is_available boolean not null default true,
    notes text,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    unique (station_id, amenity_id)
);

-- One slot of a station.
create table station_slots (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    slot_number integer not null check (slot_number between 1 and 255),
    status text not null check (status in ('available', 'occupied', 'maintenance', 'error')),
    battery_level integer check (battery_level between 0 and 100),
    current_rental uuid /* sqlite: references rentals (id) */,
    slot_metadata jsonb not null default '{}',
    last_updated timestamptz not null,
    unique (station_id, slot_number)
);

-- A power bank of ours, and the one place where it is: a slot, a rental, or missing (R5).
create table power_banks (
    id uuid not null primary key,
    serial_number text not null unique,
    model text not null,
    capacity_mah integer not null check (capacity_mah > 0),
    status text not null check (status in ('available', 'rented', 'maintenance', 'damaged', 'missing')),
    current_station uuid references stations (id),
    current_slot uuid unique references station_slots (id),
    battery_level integer check (battery_level between 0 and 100),
    hardware_info jsonb not null default '{}',
    last_updated timestamptz not null,
    created_at timestamptz not null,
    check (current_slot is null or current_station is not null)
);
-- With the status, or SQLite reads every bank of the network that is available.
create index power_banks_station on power_banks (current_station, status);
create index power_banks_status on power_banks (status, id);

-- A station that a rider marked.
create table user_station_favorites (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    station_id uuid not null references stations (id),
    created_at timestamptz not null,
    unique (user_id, station_id)
);
create index user_station_favorites_user on user_station_favorites (user_id, id);

-- Something wrong with a station, as a rider reports it.
create table station_issues (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    reported_by uuid not null references users (id),
    issue_type text not null check (issue_type in ('offline', 'damaged', 'dirty', 'location_wrong', 'slot_error', 'amenity_issue')),
    description text not null,
    images jsonb not null default '[]',
    priority text not null check (priority in ('low', 'medium', 'high', 'critical')),
    status text not null check (status in ('reported', 'acknowledged', 'in_progress', 'resolved')),
    assigned_to uuid references admin_profiles (id),
    reported_at timestamptz not null,
    resolved_at timestamptz
);
create index station_issues_station on station_issues (station_id, id);
create index station_issues_reporter on station_issues (reported_by, id);
create index station_issues_status on station_issues (status, id);
create unique index station_issues_open on station_issues (reported_by, station_id, issue_type) where status <> 'resolved';
