-- Settlement with the outside: what providers' books say beside ours.

-- Ours. A provider's book beside ours for the payments that were opened on one day in Kathmandu (L15).
create table reconciliation_reports (
    id uuid not null primary key,
    provider text not null,
    day date not null,
    state text not null check (state in ('running', 'finished')),
    after_attempt uuid,
    waits bigint not null default 0 check (waits >= 0),
    ours_paisa bigint not null default 0,
    theirs_paisa bigint not null default 0,
    fees_paisa bigint not null default 0,
    differences bigint not null default 0 check (differences >= 0),
    ageing jsonb not null default '{}',
    started_by uuid references admin_profiles (id),
    started_at timestamptz not null,
    finished_at timestamptz,
    unique (provider, day),
    check ((state = 'finished') = (finished_at is not null))
);
create index reconciliation_reports_started on reconciliation_reports (started_at, id);

-- Ours. One payment in a report: what we thought and what the provider said.
create table reconciliation_lines (
    id uuid not null primary key,
    report_id uuid not null references reconciliation_reports (id),
    attempt_id uuid not null references payment_attempts (id),
    class text not null check (class in ('matched', 'missing_at_provider', 'missing_at_us', 'amount_differs', 'status_differs', 'duplicate_payment', 'unexpected_refund', 'unanswered')),
    our_state text not null,
    their_status text,
    our_paisa bigint not null,
    their_paisa bigint not null,
    fee_paisa bigint,
    given_back_paisa bigint not null default 0,
    provider_transaction text,
    mended boolean not null default false,
    created_at timestamptz not null,
    unique (report_id, attempt_id)
);
create index reconciliation_lines_report on reconciliation_lines (report_id, created_at, id);
create index reconciliation_lines_class on reconciliation_lines (report_id, class, created_at, id);
