create table pictures (
    post_id integer primary key references posts(id) on delete cascade,
    type text not null,
    content bytea not null,
    description text not null
);
