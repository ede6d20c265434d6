-- Who wrote a post, where somebody was signed in. Beside the posts and not in them: GET /api/posts gives every
-- column of a post, and who wrote it is for the policies.
create table bylines (
    post_id integer primary key references posts(id) on delete cascade,
    author_id uuid,
    name text not null
);

create index bylines_author on bylines (author_id);
