create table books (
    id integer primary key autoincrement,
    title text not null,
    author text not null,
    shelf_mark text
);
