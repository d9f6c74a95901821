-- Points, referrals, achievements, coupons.

-- A rider's points.
create table user_points (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    current_points integer not null default 0 check (current_points >= 0),
    total_points integer not null default 0 check (total_points >= 0),
    last_updated timestamptz not null
);

-- One line of a rider's points statement.
create table points_transactions (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    transaction_type text not null check (transaction_type in ('earned', 'spent', 'expired', 'adjustment')),
    amount integer not null check (amount >= 0),
    balance_before integer not null,
    balance_after integer not null check (balance_after >= 0),
    description text not null,
    related_rental uuid references rentals (id),
    related_transaction uuid references transactions (id),
    metadata jsonb not null default '{}',
    source text not null,
    business_key text not null,
    expires_at timestamptz,
    created_at timestamptz not null,
    unique (user_id, source, business_key)
);
create index points_transactions_user on points_transactions (user_id, created_at, id);
create index points_transactions_end on points_transactions (expires_at, id);

-- Who brought whom.
create table referrals (
    id uuid not null primary key,
    referrer_id uuid not null references users (id),
    referred_user_id uuid not null unique references users (id),
    status text not null check (status in ('pending', 'completed', 'expired')),
    referrer_points_awarded integer not null default 0,
    referred_points_awarded integer not null default 0,
    signed_up_at timestamptz not null,
    first_rental_at timestamptz,
    points_awarded_at timestamptz,
    triggering_rental uuid references rentals (id),
    end_reason text check (end_reason in ('no_rental_in_time', 'same_person', 'account_closed')),
    created_at timestamptz not null
);
create index referrals_referrer on referrals (referrer_id, id);
create index referrals_status on referrals (status, id);

-- A rider's place among the others, recomputed by a job.
create table user_leaderboards (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    rank integer not null,
    total_rentals integer not null default 0,
    total_points_earned integer not null default 0,
    referrals_count integer not null default 0,
    timely_returns integer not null default 0,
    last_updated timestamptz not null,
    created_at timestamptz not null
);
create index user_leaderboards_points on user_leaderboards (total_points_earned, id);
create index user_leaderboards_rentals on user_leaderboards (total_rentals, id);
create index user_leaderboards_referrals on user_leaderboards (referrals_count, id);
create index user_leaderboards_timely on user_leaderboards (timely_returns, id);

-- A goal and its reward.
create table achievements (
    id uuid not null primary key,
    name text not null,
    description text not null,
    criteria_type text not null check (criteria_type in ('rental_count', 'timely_return_count', 'referral_count')),
    criteria_value integer not null check (criteria_value > 0),
    reward_type text not null check (reward_type in ('points')),
    reward_value integer not null check (reward_value >= 0),
    is_active boolean not null default true,
    created_by uuid references admin_profiles (id),
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- How far a rider is with an achievement.
create table user_achievements (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    achievement_id uuid not null references achievements (id),
    current_progress integer not null default 0,
    is_unlocked boolean not null default false,
    points_awarded integer,
    unlocked_at timestamptz,
    points_transaction_id uuid references points_transactions (id),
    created_at timestamptz not null,
    unique (user_id, achievement_id)
);

-- A code that gives points.
create table coupons (
    id uuid not null primary key,
    code text not null unique,
    name text not null,
    points_value integer not null check (points_value > 0),
    max_uses_per_user integer not null default 1 check (max_uses_per_user > 0),
    max_uses integer check (max_uses > 0),
    uses integer not null default 0 check (uses >= 0),
    is_public boolean not null default false,
    valid_from timestamptz not null,
    valid_until timestamptz not null,
    status text not null check (status in ('active', 'inactive', 'expired')),
    batch_id uuid references batch_runs (id),
    created_by uuid references admin_profiles (id),
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check (valid_until > valid_from),
    check (max_uses is null or uses <= max_uses)
);
create index coupons_shown on coupons (is_public, status, valid_until);
create index coupons_status on coupons (status, id);
create index coupons_batch on coupons (batch_id, id);

-- That a rider used a coupon.
create table coupon_usages (
    id uuid not null primary key,
    coupon_id uuid not null references coupons (id),
    user_id uuid not null references users (id),
    use_number integer not null check (use_number > 0),
    points_received integer not null,
    points_transaction_id uuid references points_transactions (id),
    used_at timestamptz not null,
    created_at timestamptz not null,
    unique (coupon_id, user_id, use_number)
);
create index coupon_usages_user on coupon_usages (user_id, id);
create index coupon_usages_coupon on coupon_usages (coupon_id, id);
