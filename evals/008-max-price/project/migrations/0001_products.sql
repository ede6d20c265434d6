create table products (
    id integer primary key autoincrement,
    name text not null,
    price integer not null,
    cost integer
);
