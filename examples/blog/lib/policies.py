"""Row policies: everybody reads posts, and only who wrote one may change or remove it.

They hold for what is asked on behalf of a user, by `create_client()`. `db` itself is the program and is trusted.
"""

from turnout.db import col, exists, outer, policy, uid

EVERYBODY = ("anon", "authenticated")
IS_AUTHOR = exists("bylines", (col("post_id") == outer("id")) & (col("author_id") == uid()))

policy("posts", for_="select", to=EVERYBODY, using=True)
policy("posts", for_="update", to="authenticated", using=IS_AUTHOR)
policy("posts", for_="delete", to="authenticated", using=IS_AUTHOR)

# No policy lets anybody write a byline: the app does, together with its post.
policy("bylines", for_="select", to=EVERYBODY, using=True)
