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
