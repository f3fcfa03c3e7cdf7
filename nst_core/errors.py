"""The base of every refusal: an error whose message is one sentence for the person in front of it."""


class NSTError(ValueError):
    """Something a person asked for cannot be done; ``str(error)`` says what was wrong and what would be right.

    The command line prints the message and exits 1, the page shows it; anything else that is raised is a bug.
    """
