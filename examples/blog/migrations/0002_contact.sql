create table messages (
    id integer primary key autoincrement,
    name text not null,
    email text not null,
    message text not null,
    created_at timestamptz not null default current_timestamp
);

-- What lib/rate_limit.py counts: one row for each call of the last minute.
create table rate_hits (
    id integer primary key autoincrement,
    key text not null,
    at double precision not null
);
create index rate_hits_at on rate_hits (at);
create index rate_hits_key on rate_hits (key);
