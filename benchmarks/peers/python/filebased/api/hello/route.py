async def get() -> dict[str, str]:
    return {"message": "Hello World!"}
