-- People: riders, staff, their devices, and the few tables that everything else leans on.

-- A person: rider, and through an admin profile also staff.
create table users (
    id uuid not null primary key,
    username text unique,
    email text,
    phone_number text unique,
    first_name text,
    last_name text,
    profile_picture text,
    referral_code text not null unique,
    referred_by uuid references users (id),
    status text not null check (status in ('active', 'banned', 'inactive')),
    email_verified boolean not null default false,
    phone_verified boolean not null default false,
    open_rentals integer not null default 0 check (open_rentals >= 0),
    deleted_at timestamptz,
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create unique index users_email_unique on users (lower(email));
create index users_referred_by on users (referred_by);
create index users_created on users (created_at, id);

-- What a rider tells about themselves beyond name and contact.
create table user_profiles (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    city text,
    date_of_birth date,
    gender text check (gender in ('male', 'female', 'other')),
    emergency_contact text,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- Makes a person staff, with a role.
create table admin_profiles (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    role text not null check (role in ('super_admin', 'admin', 'moderator')),
    is_active boolean not null default true,
    created_by uuid references admin_profiles (id),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- A rider's proof of identity and its review.
create table user_kyc (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    citizenship_number text not null unique,
    citizenship_front_image text not null,
    citizenship_back_image text not null,
    status text not null check (status in ('pending', 'approved', 'rejected')),
    rejection_reason text,
    updated_by uuid references admin_profiles (id),
    submitted_at timestamptz not null,
    verified_at timestamptz
);
create index user_kyc_status on user_kyc (status, submitted_at, id);

-- A telephone with the app, for push messages.
create table user_devices (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    device_id text not null unique,
    device_name text,
    device_type text not null check (device_type in ('android', 'ios', 'web')),
    os_version text,
    app_version text,
    fcm_token text,
    is_active boolean not null default true,
    last_verified timestamptz not null,
    last_active timestamptz not null,
    created_at timestamptz not null
);
create index user_devices_user on user_devices (user_id);
create index user_devices_fcm_token on user_devices (fcm_token) where fcm_token is not null;

-- A setting that staff may change while the system runs.
create table app_configs (
    id uuid not null primary key,
    config_key text not null unique,
    config_value text not null,
    description text not null,
    data_type text not null check (data_type in ('string', 'integer', 'decimal', 'boolean', 'json')),
    is_active boolean not null default true,
    updated_at timestamptz not null
);

-- A country whose telephone numbers are accepted.
create table countries (
    id uuid not null primary key,
    name text not null,
    code text not null unique,
    dial_code text not null,
    flag_url text,
    is_active boolean not null default true,
    created_at timestamptz not null
);

-- A stored file and who brought it.
create table media_uploads (
    id uuid not null primary key,
    uploaded_by uuid references users (id),
    file_url text not null,
    file_type text not null check (file_type in ('image', 'video', 'document')),
    purpose text not null check (purpose in ('profile', 'issue', 'kyc', 'station', 'content')),
    original_name text not null,
    file_size bigint not null check (file_size >= 0),
    stored_at timestamptz,
    attached_at timestamptz,
    created_at timestamptz not null
);
create index media_uploads_loose on media_uploads (created_at) where attached_at is null;
create index media_uploads_user on media_uploads (uploaded_by);
create index media_uploads_url on media_uploads (file_url);
