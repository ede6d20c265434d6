-- One row for each Stripe event whose effect is in the tables below.
create table webhook_events (
    id text primary key not null,
    type text not null,
    received_at timestamptz not null default current_timestamp
);

create table orders (
    id integer primary key autoincrement,
    session_id text unique,
    email text,
    amount_total bigint,
    currency text,
    created_at timestamptz not null default current_timestamp
);

create table subscriptions (
    id text primary key not null,
    customer text,
    status text,
    event_created bigint not null
);
