"""FastAPI with SQLAlchemy's async ORM on aiosqlite, the stack of most tutorials: W4, W6 and the blog of W9.

Run:  uvicorn fastapi_sqlalchemy:app
"""

import os
from collections.abc import AsyncIterator
from datetime import datetime
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import event, func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

engine = create_async_engine(f"sqlite+aiosqlite:///{os.environ['BENCH_SQLITE']}")
sessions = async_sessionmaker(engine, expire_on_commit=False)
app = FastAPI()


@event.listens_for(engine.sync_engine, "connect")
def set_pragmas(connection: Any, record: object) -> None:
    """As the other contenders have it: WAL, and a commit is on the disk."""
    connection.execute("pragma journal_mode = wal")
    connection.execute("pragma synchronous = full")


async def open_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


Session = Annotated[AsyncSession, Depends(open_session)]


class Base(DeclarativeBase):
    pass


class Article(Base):
    __tablename__ = "articles"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    views: Mapped[int]
    body: Mapped[str]


class Note(Base):
    __tablename__ = "notes"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    body: Mapped[str]


class Post(Base):
    __tablename__ = "posts"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    content: Mapped[str]
    created_at: Mapped[datetime] = mapped_column(server_default=func.current_timestamp())


class Out(BaseModel):
    model_config = ConfigDict(from_attributes=True)


class ArticleOut(Out):
    id: int
    title: str
    views: int
    body: str


class NoteIn(BaseModel):
    title: str
    body: str


class PostIn(BaseModel):
    model_config = ConfigDict(extra="forbid")
    title: Annotated[str, Field(min_length=1, max_length=200)]
    content: Annotated[str, Field(min_length=1)]


class PostOut(Out):
    id: int
    title: str
    content: str
    created_at: datetime


@app.get("/api/hello")
async def hello() -> dict[str, str]:
    return {"message": "Hello World!"}


@app.get("/api/articles", response_model=list[ArticleOut])
async def articles(session: Session) -> Any:
    return (await session.scalars(select(Article).order_by(Article.id).limit(10))).all()


@app.post("/api/notes", status_code=201)
async def create_note(note: NoteIn, session: Session) -> dict[str, int]:
    row = Note(title=note.title, body=note.body)
    session.add(row)
    await session.commit()
    return {"id": row.id}


@app.get("/api/posts", response_model=list[PostOut])
async def posts(
    session: Session, page: Annotated[int, Query(ge=1)] = 1, limit: Annotated[int, Query(ge=1, le=100)] = 10
) -> Any:
    return (await session.scalars(select(Post).order_by(Post.id).limit(limit).offset((page - 1) * limit))).all()


@app.get("/api/posts/{id}", response_model=PostOut)
async def get_post(id: int, session: Session) -> Any:
    if (post := await session.get(Post, id)) is None:
        raise HTTPException(404)
    return post


@app.post("/api/posts", status_code=201, response_model=PostOut)
async def create_post(post: PostIn, session: Session) -> Any:
    row = Post(title=post.title, content=post.content)
    session.add(row)
    await session.commit()
    await session.refresh(row)  # for the time that the database set
    return row
