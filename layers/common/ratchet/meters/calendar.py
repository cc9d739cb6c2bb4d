"""Public holidays of a site's country, which go into the bundle: a forecast goes by the days that training knew."""

from datetime import date

from ratchet.errors import BadConfiguration

YEARS_AHEAD = 3
"""A model that is older than this knows no holidays any more."""


def holidays_of(country: str | None, first: int, last: int) -> frozenset[str]:
    """Local dates from the year `first` to some years after `last`.

    Raises BadConfiguration for a country that the library does not know.
    """
    if country is None:
        return frozenset()
    import holidays

    try:
        found = holidays.country_holidays(country, years=range(first, last + YEARS_AHEAD + 1))
    except NotImplementedError as error:
        raise BadConfiguration(f"source.holidays: there is no country '{country}'; take its ISO code.") from error
    return frozenset(each.isoformat() for each in found if isinstance(each, date))
