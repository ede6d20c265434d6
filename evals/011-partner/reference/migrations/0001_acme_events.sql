-- Acme's events as they came; written by lib/acme_events.py.
create table acme_events (
    id text primary key not null,
    type text not null,
    payload jsonb not null,
    received_at timestamptz not null default current_timestamp
);

create index acme_events_type on acme_events (type, received_at);
