"""The error for a missing package of the extra `testing`."""


def missing_extra(missing: ModuleNotFoundError) -> ImportError:
    """Return an error that shows how to install it."""
    return ImportError(
        f"datacrunch_tgi.testing needs {missing.name!r}, which is not installed: "
        'pip install "datacrunch-tgi[testing]"',
        name=missing.name,
    )
