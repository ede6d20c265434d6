create table posts (
    id integer primary key autoincrement,
    title text not null,
    content text not null,
    created_at timestamptz not null default current_timestamp
);
