-- Rentals and what they are priced by.

-- What a rider can buy: a time and its price.
create table rental_packages (
    id uuid not null primary key,
    name text not null,
    description text not null,
    duration_minutes integer not null check (duration_minutes > 0),
    price_paisa bigint not null check (price_paisa >= 0),
    package_type text not null check (package_type in ('hourly', 'daily', 'weekly', 'monthly')),
    payment_model text not null check (payment_model in ('prepaid', 'postpaid')),
    free_minutes integer not null default 0 check (free_minutes >= 0),
    daily_cap_paisa bigint check (daily_cap_paisa > 0),
    is_active boolean not null default true,
    package_metadata jsonb not null default '{}',
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- One power bank lent to one rider, from the tap until the last rupee.
create table rentals (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    station_id uuid not null references stations (id),
    return_station_id uuid references stations (id),
    slot_id uuid not null references station_slots (id),
    package_id uuid not null references rental_packages (id),
    power_bank_id uuid references power_banks (id),
    rental_code text not null unique,
    status text not null check (status in ('pending', 'active', 'completed', 'cancelled', 'overdue', 'lost')),
    started_at timestamptz,
    ended_at timestamptz,
    due_at timestamptz not null,
    amount_paid_paisa bigint not null default 0 check (amount_paid_paisa >= 0),
    overdue_amount_paisa bigint not null default 0 check (overdue_amount_paisa >= 0),
    payment_status text not null check (payment_status in ('pending', 'paid', 'failed', 'refunded')),
    is_returned_on_time boolean not null default false,
    timely_return_bonus_awarded boolean not null default false,
    rental_metadata jsonb not null default '{}',
    hold_paisa bigint not null default 0 check (hold_paisa >= 0),
    due_paisa bigint not null default 0 check (due_paisa >= 0),
    points_paid_paisa bigint not null default 0 check (points_paid_paisa between 0 and amount_paid_paisa),
    rules_version integer not null default 1,
    package_snapshot jsonb not null default '{}',
    eject_cmd_id uuid,
    return_slot uuid references station_slots (id),
    cancel_reason text,
    seat_released_at timestamptz,
    lost_at timestamptz,
    swapped_from uuid references rentals (id),
    created_at timestamptz not null,
    check (status not in ('active', 'overdue', 'lost', 'completed') or started_at is not null),
    check (status <> 'lost' or lost_at is not null),
    check (status <> 'completed' or ended_at is not null)
);
create index rentals_power_bank on rentals (power_bank_id, id);
create unique index rentals_open_power_bank on rentals (power_bank_id) where status in ('pending', 'active', 'overdue');
create unique index rentals_lost_power_bank on rentals (power_bank_id) where status = 'lost';
create index rentals_user on rentals (user_id, created_at, id);
create index rentals_swapped on rentals (swapped_from) where swapped_from is not null;
create index rentals_open on rentals (status, due_at) where status in ('pending', 'active', 'overdue');
create index rentals_unpaid on rentals (user_id) where due_paisa > 0;
create index rentals_station on rentals (station_id, created_at);
create index rentals_created on rentals (created_at, id);
create index rentals_started on rentals (started_at);
create index rentals_ended on rentals (ended_at);

-- More time, bought during a rental.
create table rental_extensions (
    id uuid not null primary key,
    rental_id uuid not null references rentals (id),
    package_id uuid not null references rental_packages (id),
    extended_minutes integer not null check (extended_minutes > 0),
    extension_cost_paisa bigint not null check (extension_cost_paisa >= 0),
    created_by uuid references admin_profiles (id),
    extended_at timestamptz not null
);
create index rental_extensions_rental on rental_extensions (rental_id);

-- Where the rider's telephone was during a rental.
create table rental_locations (
    id uuid not null primary key,
    rental_id uuid not null references rentals (id),
    latitude double precision not null check (latitude between -90 and 90),
    longitude double precision not null check (longitude between -180 and 180),
    accuracy double precision not null check (accuracy >= 0),
    recorded_at timestamptz not null
);
create index rental_locations_rental on rental_locations (rental_id, recorded_at);
create index rental_locations_recorded on rental_locations (recorded_at);

-- Something wrong with a rental, as the rider reports it.
create table rental_issues (
    id uuid not null primary key,
    rental_id uuid not null references rentals (id),
    issue_type text not null check (issue_type in ('power_bank_damaged', 'power_bank_lost', 'charging_issue', 'return_issue')),
    images jsonb not null default '[]',
    description text not null,
    status text not null check (status in ('reported', 'resolved')),
    reported_at timestamptz not null,
    resolved_at timestamptz
);
create index rental_issues_rental on rental_issues (rental_id);
create index rental_issues_reported on rental_issues (reported_at, id);

-- Ours. What a late return costs: versions, of which at most one is active. The terms of a version never change.
create table late_fee_configs (
    id uuid not null primary key,
    version integer not null unique check (version > 0),
    name text not null,
    fee_type text not null check (fee_type in ('multiplier', 'flat_rate', 'compound')),
    multiplier_percent integer check (multiplier_percent > 0),
    flat_rate_per_hour_paisa bigint check (flat_rate_per_hour_paisa > 0),
    grace_minutes integer not null default 0 check (grace_minutes >= 0),
    cap_per_day_paisa bigint check (cap_per_day_paisa > 0),
    is_active boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check (fee_type = 'flat_rate' or multiplier_percent is not null),
    check (fee_type = 'multiplier' or flat_rate_per_hour_paisa is not null)
);
create unique index late_fee_configs_active on late_fee_configs (is_active) where is_active;

-- Slots and rentals refer to each other; SQLite takes the forward reference in the table itself.
/* postgres: alter table station_slots add foreign key (current_rental) references rentals (id); */
