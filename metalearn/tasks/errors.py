"""The one error that everything reading or sampling data raises."""


class DataError(ValueError):
    """Data that cannot be used, said in one line: what is wrong, what was expected, what to do."""

    def __init__(self, message: str):
        # File names and other libraries' messages may hold line breaks; the promise is one line.
        super().__init__(message.replace("\r", " ").replace("\n", " "))
