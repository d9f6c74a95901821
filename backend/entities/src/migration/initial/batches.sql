-- Ours: work over many rows, and what days add up to.

-- Ours. Work over many rows, done in steps by whichever process comes first.
create table batch_runs (
    id uuid not null primary key,
    kind text not null,
    parameters jsonb not null default '{}',
    progress jsonb,
    done bigint not null default 0 check (done >= 0),
    total bigint,
    state text not null check (state in ('running', 'finished', 'failed', 'cancelled')),
    result jsonb not null default '{}',
    error text,
    dedup_key text unique,
    requested_by uuid references admin_profiles (id),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    finished_at timestamptz
);
create index batch_runs_kind on batch_runs (kind, id);
create index batch_runs_state on batch_runs (state, id);

-- Ours. A piece of the file that a run makes.
create table batch_parts (
    id uuid not null primary key,
    run_id uuid not null references batch_runs (id),
    number integer not null check (number > 0),
    body text not null,
    created_at timestamptz not null,
    unique (run_id, number)
);
create index batch_parts_created on batch_parts (created_at);

-- Ours. What happened on a day in Kathmandu, added up.
create table daily_aggregates (
    id uuid not null primary key,
    day date not null,
    kind text not null,
    station_id uuid references stations (id),
    count bigint not null check (count >= 0),
    amount_paisa bigint not null,
    updated_at timestamptz not null
);
create unique index daily_aggregates_network on daily_aggregates (kind, day) where station_id is null;
create unique index daily_aggregates_station on daily_aggregates (kind, station_id, day) where station_id is not null;
create index daily_aggregates_day on daily_aggregates (day, kind, id);
