"""What forms ask for beyond types and lengths, said in words for people and about all fields at once."""

from turnout import ValidationFailed


def check(**wrong: str | None) -> None:
    """Refuse the form unless every field's sentence is empty: ``check(title=missing(title))``.

    Raises:
        ValidationFailed: with the sentences, each beside its field.
    """
    errors = [{"pointer": f"/{name}", "message": said, "type": "form"} for name, said in wrong.items() if said]
    if errors:
        raise ValidationFailed("The form is not complete", errors=errors)


def missing(text: str) -> str | None:
    """What to say of a text that is empty; spaces are nothing."""
    return None if text.strip() else "This is required."
