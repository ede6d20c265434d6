create table orders (
    id integer primary key autoincrement,
    sku text not null,
    quantity integer not null,
    paid boolean not null default false
);
