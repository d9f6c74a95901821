-- Money: what riders see (wallets, transactions), what providers know (intents, attempts), and the ledger, which is the book.

-- A way to bring money in.
create table payment_methods (
    id uuid not null primary key,
    name text not null,
    gateway text not null,
    is_active boolean not null default true,
    configuration jsonb not null default '{}',
    min_amount_paisa bigint not null check (min_amount_paisa > 0),
    max_amount_paisa bigint not null,
    supported_currencies jsonb not null default '[]',
    created_at timestamptz not null,
    updated_at timestamptz not null,
    check (max_amount_paisa >= min_amount_paisa)
);

-- Ours. One business fact that moved money. Never changed, never deleted: L5.
create table ledger_entries (
    id uuid not null primary key,
    kind text not null,
    business_key text not null,
    description text not null,
    happened_at timestamptz not null,
    created_at timestamptz not null,
    unique (kind, business_key)
);

-- A movement of money as the rider sees it in the history.
create table transactions (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    transaction_id text not null unique,
    transaction_type text not null check (transaction_type in ('topup', 'rental', 'rental_due', 'refund', 'fine')),
    amount_paisa bigint not null check (amount_paisa >= 0),
    currency text not null,
    status text not null check (status in ('pending', 'success', 'failed', 'refunded')),
    payment_method_type text not null check (payment_method_type in ('wallet', 'points', 'combination', 'gateway')),
    payment_method_id uuid references payment_methods (id),
    gateway_reference text,
    related_rental uuid references rentals (id),
    gateway_response jsonb not null default '{}',
    entry_id uuid references ledger_entries (id),
    created_at timestamptz not null,
    updated_at timestamptz not null
);
create index transactions_user on transactions (user_id, created_at, id);
create index transactions_rental on transactions (related_rental);
create index transactions_entry on transactions (entry_id);

-- A rider's money. `balance` mirrors the ledger account, in the same transaction.
create table wallets (
    id uuid not null primary key,
    user_id uuid not null unique references users (id),
    balance_paisa bigint not null default 0 check (balance_paisa >= 0),
    currency text not null,
    is_active boolean not null default true,
    created_at timestamptz not null,
    updated_at timestamptz not null
);

-- One line of a wallet's statement.
create table wallet_transactions (
    id uuid not null primary key,
    wallet_id uuid not null references wallets (id),
    transaction_type text not null check (transaction_type in ('credit', 'debit', 'adjustment')),
    amount_paisa bigint not null check (amount_paisa >= 0),
    balance_before_paisa bigint not null,
    balance_after_paisa bigint not null,
    description text not null,
    metadata jsonb not null default '{}',
    transaction_id uuid references transactions (id),
    created_at timestamptz not null
);
create index wallet_transactions_wallet on wallet_transactions (wallet_id, created_at, id);

-- Why and how much a rider is going to pay.
create table payment_intents (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    intent_id text not null unique,
    intent_type text not null check (intent_type in ('wallet_topup', 'rental_payment', 'due_payment')),
    amount_paisa bigint not null check (amount_paisa > 0),
    currency text not null,
    status text not null check (status in ('pending', 'completed', 'failed', 'cancelled', 'needs_review')),
    payment_method_id uuid not null references payment_methods (id),
    gateway_url text,
    related_rental uuid references rentals (id),
    intent_metadata jsonb not null default '{}',
    expires_at timestamptz not null,
    created_at timestamptz not null,
    completed_at timestamptz
);
create index payment_intents_user on payment_intents (user_id, created_at, id);
create index payment_intents_open on payment_intents (user_id, expires_at) where status = 'pending';

-- Ours. One order at a provider for a payment intent. The provider's truth moves it, hints do not.
create table payment_attempts (
    id uuid not null primary key,
    intent_id uuid not null references payment_intents (id),
    provider text not null,
    provider_reference text,
    provider_transaction_id text,
    state text not null check (state in ('initiating', 'initiated', 'pending', 'succeeded', 'failed', 'expired', 'cancelled', 'unknown', 'mismatch', 'given_back')),
    amount_paisa bigint not null check (amount_paisa > 0),
    detail jsonb not null default '{}',
    next_check_at timestamptz,
    expires_at timestamptz not null,
    created_at timestamptz not null,
    settled_at timestamptz,
    unique (provider, provider_reference)
);
create index payment_attempts_intent on payment_attempts (intent_id);
create index payment_attempts_transaction on payment_attempts (provider, provider_transaction_id) where provider_transaction_id is not null;
create index payment_attempts_check on payment_attempts (next_check_at) where next_check_at is not null;

-- Ours. The sandbox provider's own books: what a real provider would keep on its side.
create table sandbox_payments (
    id uuid not null primary key,
    reference text not null unique,
    merchant_reference text not null unique,
    amount_paisa bigint not null check (amount_paisa > 0),
    currency text not null,
    state text not null check (state in ('pending', 'paid', 'cancelled', 'expired', 'refunded')),
    return_url text not null,
    created_at timestamptz not null,
    expires_at timestamptz not null,
    paid_at timestamptz
);

-- Ours. What the sandbox provider gave back, in its own books.
create table sandbox_refunds (
    id uuid not null primary key,
    payment_id uuid not null references sandbox_payments (id),
    merchant_reference text not null unique,
    amount_paisa bigint not null check (amount_paisa > 0),
    created_at timestamptz not null
);
create index sandbox_refunds_payment on sandbox_refunds (payment_id);

-- A provider's message as it came, before anything believes it.
create table payment_webhooks (
    id uuid not null primary key,
    gateway text not null,
    event_type text not null,
    payload jsonb not null,
    status text not null check (status in ('received', 'processed', 'failed')),
    processing_result text,
    event_key text,
    transaction_id uuid references transactions (id),
    received_at timestamptz not null,
    processed_at timestamptz,
    unique (gateway, event_key)
);
create index payment_webhooks_received on payment_webhooks (received_at) where status = 'received';

-- Money that a rider asks back.
create table refunds (
    id uuid not null primary key,
    transaction_id uuid not null references transactions (id),
    requested_by uuid not null references users (id),
    amount_paisa bigint not null check (amount_paisa > 0),
    reason text not null,
    status text not null check (status in ('requested', 'approved', 'rejected', 'processed', 'submitted', 'unknown', 'requires_manual', 'failed')),
    gateway_reference text,
    approved_by uuid references admin_profiles (id),
    requested_at timestamptz not null,
    processed_at timestamptz,
    destination text not null check (destination in ('wallet', 'provider')),
    attempt_id uuid references payment_attempts (id),
    refund_transaction_id uuid references transactions (id),
    decision_note text,
    decided_at timestamptz,
    submitted_at timestamptz,
    accepted_at timestamptz,
    next_check_at timestamptz,
    last_error text,
    check ((destination = 'provider') = (attempt_id is not null)),
    check ((status = 'processed') = (processed_at is not null)),
    check (status = 'requested' or decided_at is not null),
    check (status = 'requested' or status = 'rejected' or approved_by is not null)
);
create index refunds_transaction on refunds (transaction_id);
create unique index refunds_open on refunds (transaction_id) where status in ('requested', 'approved', 'submitted', 'unknown', 'requires_manual');
create index refunds_attempt on refunds (attempt_id) where attempt_id is not null;
create index refunds_status on refunds (status, requested_at);
create index refunds_requester on refunds (requested_by, requested_at);

-- Ours. An account of the double-entry ledger.
create table ledger_accounts (
    id uuid not null primary key,
    kind text not null check (kind in ('user_wallet', 'user_hold', 'provider_clearing', 'provider_fees', 'revenue_rental', 'revenue_late_fee', 'vat_payable', 'promo_expense', 'refund_clearing', 'suspense', 'bank', 'lost_bank_recoveries')),
    owner_id uuid references users (id),
    provider text,
    created_at timestamptz not null,
    check ((kind in ('user_wallet', 'user_hold')) = (owner_id is not null)),
    check ((kind in ('provider_clearing', 'provider_fees')) = (provider is not null))
);
create unique index ledger_accounts_owner on ledger_accounts (kind, owner_id) where owner_id is not null;
create unique index ledger_accounts_provider on ledger_accounts (kind, provider) where provider is not null;
create unique index ledger_accounts_system on ledger_accounts (kind) where owner_id is null and provider is null;

-- Ours. One side of an entry; the postings of an entry add up to zero (L1). Never changed, never deleted.
create table ledger_postings (
    id uuid not null primary key,
    entry_id uuid not null references ledger_entries (id),
    account_id uuid not null references ledger_accounts (id),
    amount_paisa bigint not null check (amount_paisa <> 0)
);
create index ledger_postings_entry on ledger_postings (entry_id);
create index ledger_postings_account on ledger_postings (account_id, id);

-- Ours. The balance of a rider's wallet or hold account, kept so that a debit can be refused in one statement.
create table ledger_balances (
    account_id uuid not null primary key references ledger_accounts (id),
    balance_paisa bigint not null default 0 check (balance_paisa >= 0),
    updated_at timestamptz not null
);

-- Ours. Money set aside for a rental; resolved exactly once (R3).
create table holds (
    id uuid not null primary key,
    user_id uuid not null references users (id),
    rental_id uuid not null unique references rentals (id),
    amount_paisa bigint not null check (amount_paisa >= 0),
    points integer not null default 0 check (points >= 0),
    points_paisa bigint not null default 0 check (points_paisa between 0 and amount_paisa),
    state text not null check (state in ('held', 'captured', 'voided')),
    captured_paisa bigint not null default 0 check (captured_paisa >= 0),
    created_at timestamptz not null,
    resolved_at timestamptz,
    check (captured_paisa <= amount_paisa),
    check ((state = 'held') = (resolved_at is null)),
    check (state = 'captured' or captured_paisa = 0)
);
create index holds_user on holds (user_id) where state = 'held';
