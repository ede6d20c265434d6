create table guestbook (
    id integer primary key autoincrement,
    name text not null,
    message text not null,
    created_at timestamptz not null default current_timestamp
);
