create table orders (
    id integer primary key autoincrement,
    status text not null
);
