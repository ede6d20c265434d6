create table notes (
    id integer primary key autoincrement,
    title text not null,
    text text not null,
    created_at timestamptz not null default current_timestamp
);
