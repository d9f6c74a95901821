-- Who did what, for people who must find out later.

-- Who changed what.
create table user_audit_logs (
    id uuid not null primary key,
    user_id uuid references users (id),
    admin_id uuid references admin_profiles (id),
    action text not null,
    entity_type text not null,
    entity_id text not null,
    old_values jsonb,
    new_values jsonb,
    ip_address text not null,
    user_agent text not null,
    session_id text,
    created_at timestamptz not null
);
create index user_audit_logs_user on user_audit_logs (user_id, created_at, id);
create index user_audit_logs_admin on user_audit_logs (admin_id, created_at, id);
create index user_audit_logs_entity on user_audit_logs (entity_type, entity_id, created_at, id);
create index user_audit_logs_created on user_audit_logs (created_at, id);

-- What a member of staff did.
create table admin_action_logs (
    id uuid not null primary key,
    admin_id uuid not null references admin_profiles (id),
    action text not null,
    target_model text not null,
    target_id text not null,
    changes jsonb not null default '{}',
    ip_address text not null,
    user_agent text not null,
    created_at timestamptz not null
);
create index admin_action_logs_admin on admin_action_logs (admin_id, created_at, id);
create index admin_action_logs_target on admin_action_logs (target_model, target_id, created_at, id);
create index admin_action_logs_created on admin_action_logs (created_at, id);

-- Something that operators should be able to read later.
create table system_logs (
    id uuid not null primary key,
    log_level text not null check (log_level in ('debug', 'info', 'warning', 'error', 'critical')),
    service text not null,
    message text not null,
    context jsonb not null default '{}',
    trace_id text,
    created_at timestamptz not null
);
create index system_logs_created on system_logs (created_at, id);
create index system_logs_level on system_logs (log_level, created_at, id);
