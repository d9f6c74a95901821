-- Ours: commands to stations, their events, keys, incidents, jobs, sessions.

-- Ours. An order to a station: at most one motion of metal. Its id is the `cmd_id` on the wire.
create table commands (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    kind text not null,
    slot_number integer,
    bank_serial text,
    argument bigint not null default 0,
    rental_id uuid references rentals (id),
    requested_by uuid references users (id),
    state text not null check (state in ('new', 'offered', 'received', 'expired', 'rejected', 'failed', 'done')),
    instance_id uuid,
    reason text,
    uncertain boolean not null default false,
    verdict_event_no bigint,
    expires_at timestamptz not null,
    max_clock_error_ms integer not null,
    offered_at timestamptz,
    finished_at timestamptz,
    created_at timestamptz not null
);
create index commands_open on commands (station_id, created_at) where state in ('new', 'offered', 'received');
create index commands_station on commands (station_id, created_at, id);
create index commands_rental on commands (rental_id);

-- Ours. The inbox: what stations reported, stored before it is acknowledged and applied in order.
create table station_events (
    id uuid not null primary key,
    station_id uuid not null references stations (id),
    event_no bigint not null check (event_no > 0),
    epoch bigint not null,
    kind text not null,
    body jsonb not null,
    happened_at timestamptz not null,
    time_quality text not null check (time_quality in ('anchored', 'arrival', 'doubtful')),
    received_at timestamptz not null,
    applied_at timestamptz,
    parked boolean not null default false,
    error text,
    unique (station_id, event_no)
);
create index station_events_open on station_events (station_id, event_no) where applied_at is null;

-- Ours. The newest whole slot table of a station: physical truth.
create table station_inventories (
    station_id uuid not null primary key references stations (id),
    version bigint not null,
    as_of_event_no bigint not null,
    last_cmd_id uuid,
    body jsonb not null,
    taken_at timestamptz not null
);

-- Ours. Which key a station proves itself with, and whether it may log in. No secret is in it.
create table station_keys (
    station_id uuid not null primary key references stations (id),
    key_id integer not null check (key_id between 0 and 65535),
    key_gen integer not null check (key_gen between 0 and 32767),
    min_key_gen integer not null check (min_key_gen between 0 and 32767),
    admission text not null check (admission in ('approved', 'pending', 'revoked')),
    roster_version bigint not null unique
);

-- Ours. A difference between book and world that a person must look at.
create table incidents (
    id uuid not null primary key,
    kind text not null,
    station_id uuid references stations (id),
    power_bank_id uuid references power_banks (id),
    rental_id uuid references rentals (id),
    detail jsonb not null default '{}',
    state text not null check (state in ('open', 'resolved')),
    dedup_key text not null unique,
    created_at timestamptz not null,
    resolved_at timestamptz
);
create index incidents_open on incidents (created_at) where state = 'open';
create index incidents_rental on incidents (rental_id, created_at) where rental_id is not null;

-- Ours. Work that a transaction left behind, done at least once.
create table jobs (
    id uuid not null primary key,
    queue text not null,
    payload jsonb not null,
    state text not null check (state in ('ready', 'running', 'done', 'dead')),
    run_at timestamptz not null,
    attempts integer not null default 0,
    lease_until timestamptz,
    lease_owner text,
    dedup_key text,
    last_error text,
    unique (queue, dedup_key)
);
-- Not partial: bound values prove nothing to SQLite's planner, and it would read all jobs.
create index jobs_due on jobs (state, run_at);
create index jobs_dead on jobs (queue) where state = 'dead';

-- Ours. What was answered to a request, so that its repetition gets the same answer: L7.
create table idempotency_keys (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    key text not null,
    route text not null,
    fingerprint text not null,
    state text not null check (state in ('in_progress', 'completed')),
    response_status integer,
    response_body jsonb,
    created_at timestamptz not null,
    unique (user_id, route, key)
);
create index idempotency_keys_created on idempotency_keys (created_at);

-- Ours. A code that was sent to prove a telephone number or an e-mail address.
create table otp_requests (
    id uuid not null primary key,
    identifier text not null,
    purpose text not null check (purpose in ('login', 'register')),
    code_hash text not null,
    attempts integer not null default 0,
    expires_at timestamptz not null,
    consumed_at timestamptz,
    created_at timestamptz not null
);
create index otp_requests_identifier on otp_requests (identifier, created_at);

-- Ours. How many one-time codes went out: to a block of numbers, for a network, in all; a row for each window of time.
create table otp_send_counts (
    scope text not null primary key,
    sent integer not null check (sent > 0),
    expires_at timestamptz not null
);
create index otp_send_counts_expires on otp_send_counts (expires_at);

-- Ours. Keyed hashes of numbers, addresses and papers of deleted accounts: what is given once is not given again.
create table former_riders (
    identity_hash text not null primary key,
    forgotten_at timestamptz not null
);

-- Ours. A rider's signed-in app. Rotation revokes the row and writes the next one of its family.
create table user_sessions (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    access_hash text not null unique,
    access_expires_at timestamptz not null,
    refresh_hash text not null unique,
    refresh_expires_at timestamptz not null,
    family uuid not null,
    device_id uuid references user_devices (id) on delete set null,
    revoked_at timestamptz,
    created_at timestamptz not null
);
create index user_sessions_user on user_sessions (user_id);
create index user_sessions_device on user_sessions (device_id) where device_id is not null;
create unique index user_sessions_live on user_sessions (family) where revoked_at is null;

-- Ours. Which accounts an installation of the app has had, by a hash of its id.
create table device_sightings (
    device_hash text not null,
    user_id uuid not null references users (id),
    first_seen_at timestamptz not null,
    primary key (device_hash, user_id)
);
create index device_sightings_user on device_sightings (user_id);

-- Ours. How a member of staff signs in.
create table staff_credentials (
    admin_id uuid not null primary key references admin_profiles (id),
    email text not null,
    password_hash text not null,
    totp_salt text,
    totp_confirmed_at timestamptz,
    totp_step bigint not null default 0,
    totp_tries integer not null default 0,
    totp_tries_since timestamptz,
    updated_at timestamptz not null
);
create unique index staff_credentials_email_unique on staff_credentials (lower(email));

-- Ours. Codes that stand in for a lost authenticator app, each for one sign-in.
create table staff_recovery_codes (
    id uuid not null primary key,
    admin_id uuid not null references admin_profiles (id),
    code_hash text not null,
    used_at timestamptz,
    created_at timestamptz not null,
    unique (admin_id, code_hash)
);

-- Ours. A signed-in member of staff: console cookie or bearer token.
create table staff_sessions (
    id uuid not null primary key,
    admin_id uuid not null references admin_profiles (id),
    token_hash text not null unique,
    is_limited boolean not null default false,
    expires_at timestamptz not null,
    revoked_at timestamptz,
    created_at timestamptz not null
);
create index staff_sessions_admin on staff_sessions (admin_id);
