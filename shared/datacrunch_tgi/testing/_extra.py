"""What to say when a package of the extra `testing` is not installed."""


def missing_extra(missing: ModuleNotFoundError) -> ImportError:
    """Return the error that tells how to install it."""
    return ImportError(
        f"datacrunch_tgi.testing needs {missing.name!r}, which is not installed: "
        'pip install "datacrunch-tgi[testing]"',
        name=missing.name,
    )
