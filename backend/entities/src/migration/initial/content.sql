-- Notifications and the texts of the app.

-- The wording of a notification.
create table notification_templates (
    id uuid not null primary key,
    name text not null unique,
    slug text not null unique,
    title_template text not null,
    message_template text not null,
    notification_type text not null check (notification_type in ('rental', 'payment', 'promotion', 'system', 'achievement', 'security')),
    description text,
    is_active boolean not null default true,
    rule_type text not null,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- Which channels a class of notifications takes.
create table notification_rules (
    id uuid not null primary key,
    notification_type text not null unique,
    send_in_app boolean not null default true,
    send_push boolean not null default false,
    send_sms boolean not null default false,
    send_email boolean not null default false,
    is_critical boolean not null default false,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- A notification to a rider, rendered.
create table notifications (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    template_id uuid references notification_templates (id),
    title text not null,
    message text not null,
    notification_type text not null check (notification_type in ('rental', 'payment', 'promotion', 'system', 'achievement', 'security')),
    data jsonb not null default '{}',
    channel text not null check (channel in ('in_app', 'push', 'sms', 'email')),
    is_read boolean not null default false,
    read_at timestamptz,
    dedup_key text unique,
    created_at timestamptz not null
);
create index notifications_user on notifications (user_id, channel, created_at, id);
create index notifications_unread on notifications (user_id, channel) where is_read = false;

-- A message handed to a provider. Codes are never in it.
create table sms_fcm_logs (
    id uuid not null primary key,
    user_id uuid references users (id),
    notification_id uuid references notifications (id) on delete set null,
    title text not null,
    message text not null,
    type text not null check (type in ('fcm', 'sms', 'email')),
    recipient text not null,
    status text not null check (status in ('pending', 'sent', 'failed')),
    response text,
    attempts integer not null default 0,
    created_at timestamptz not null,
    sent_at timestamptz
);
create index sms_fcm_logs_created on sms_fcm_logs (created_at, id);
create index sms_fcm_logs_status on sms_fcm_logs (status, created_at, id);
create index sms_fcm_logs_user on sms_fcm_logs (user_id, created_at, id);
create index sms_fcm_logs_notification on sms_fcm_logs (notification_id) where notification_id is not null;

-- Ours. A message of staff to many riders, and how far it is.
create table broadcasts (
    id uuid not null primary key,
    admin_id uuid not null references admin_profiles (id),
    title text not null,
    message text not null,
    segment text not null check (segment in ('all', 'active', 'new', 'inactive')),
    state text not null check (state in ('running', 'done', 'stopped')),
    after_user uuid,
    total bigint not null,
    done bigint not null default 0,
    told bigint not null default 0,
    created_at timestamptz not null,
    finished_at timestamptz
);
create index broadcasts_created on broadcasts (created_at, id);

-- A page of text in the app.
create table content_pages (
    id uuid not null primary key,
    slug text not null unique,
    title text not null,
    content text not null,
    is_published boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- A question that many ask, and its answer.
create table faqs (
    id uuid not null primary key,
    question text not null,
    answer text not null,
    category text not null,
    display_order integer not null default 0,
    is_active boolean not null default true,
    created_by uuid references admin_profiles (id),
    updated_by uuid references admin_profiles (id),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- How riders reach us.
create table contact_infos (
    id uuid not null primary key,
    contact_type text not null unique check (contact_type in ('phone', 'email', 'address', 'support_hours')),
    value text not null,
    description text,
    is_active boolean not null default true,
    updated_by uuid references admin_profiles (id),
    updated_at timestamptz not null
);

-- A published version of the app.
create table app_versions (
    id uuid not null primary key,
    version text not null,
    platform text not null check (platform in ('android', 'ios', 'web')),
    is_mandatory boolean not null default false,
    download_url text not null,
    release_notes text not null,
    released_at timestamptz not null,
    created_at timestamptz not null,
    unique (version, platform)
);

-- What is new, for people.
create table app_updates (
    id uuid not null primary key,
    version text not null,
    title text not null,
    description text not null,
    features jsonb not null default '[]',
    is_major boolean not null default false,
    released_at timestamptz not null,
    created_at timestamptz not null
);
create index app_updates_released on app_updates (released_at, id);

-- A picture with a link on the app's first page.
create table banners (
    id uuid not null primary key,
    title text not null,
    description text,
    image_url text not null,
    redirect_url text,
    display_order integer not null default 0,
    is_active boolean not null default true,
    valid_from timestamptz not null,
    valid_until timestamptz not null,
    created_at timestamptz not null,
    check (valid_until > valid_from)
);
