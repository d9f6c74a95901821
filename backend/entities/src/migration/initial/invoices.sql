-- Papers: tax invoices and credit notes as Nepal's VAT rules want them. Never changed, never deleted.

-- Ours. A numbered paper about one movement of revenue; without gaps in each fiscal year.
create table tax_invoices (
    id uuid not null primary key,
    kind text not null check (kind in ('invoice', 'credit_note')),
    fiscal_year text not null,
    serial bigint not null check (serial > 0),
    number text not null,
    transaction_id uuid not null unique references transactions (id),
    seller_name text not null,
    seller_address text not null,
    seller_pan text not null,
    buyer_name text not null,
    taxable_paisa bigint not null check (taxable_paisa >= 0),
    vat_paisa bigint not null check (vat_paisa >= 0),
    total_paisa bigint not null check (total_paisa > 0),
    payment_mode text not null,
    corrects uuid references tax_invoices (id),
    date_bs text not null,
    supplied_at timestamptz not null,
    issued_at timestamptz not null,
    unique (kind, fiscal_year, serial),
    check (total_paisa = taxable_paisa + vat_paisa),
    check ((kind = 'credit_note') = (corrects is not null))
);

-- Ours. One print of a paper: the first is the original, each later one a copy of it.
create table tax_invoice_prints (
    id uuid not null primary key,
    invoice_id uuid not null references tax_invoices (id),
    print_no bigint not null check (print_no > 0),
    printed_by uuid not null references users (id),
    printed_at timestamptz not null,
    unique (invoice_id, print_no)
);
