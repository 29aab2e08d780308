"""Labelled results in files: netCDF, which keeps everything, and a long CSV table.

The table reads three attributes of a Dataset's variables, all optional: `kind` fills a column
of that name, `column` renames the variable's own (a mean and a theory may share a column), and
`flag_meanings` gives the words for integer codes (as in the CF conventions).
"""

from pathlib import Path
from typing import Any

from .whole import whole_file

SUFFIXES = (".nc", ".csv")


def save(dataset: Any, path: Path | str) -> None:
    """Write an xarray Dataset whole or not at all, in the format of the suffix.

    Args:
        dataset: an `xarray.Dataset`.
        path: ends in .nc (netCDF 3, read by every netCDF library) or .csv (`table`).
    """
    with whole_file(path) as partial:
        if partial.suffix.lower() == ".csv":
            table(dataset).to_csv(partial, index=False)
        else:
            dataset.to_netcdf(partial, engine="scipy", format="NETCDF3_64BIT")


def table(dataset: Any) -> Any:
    """A Dataset as a long `pandas.DataFrame`: a block of rows for each kind and coordinate."""
    import pandas as pd

    blocks: dict[tuple, list[str]] = {}
    for name, variable in dataset.data_vars.items():
        kind = variable.attrs.get("kind", "")
        blocks.setdefault((kind, variable.dims), []).append(name)
    return pd.concat(
        [_block(dataset[names], kind) for (kind, _), names in blocks.items()],
        ignore_index=True,
    )


def _block(part: Any, kind: str) -> Any:
    if not part.dims:  # one number each: a row of its own
        part = part.expand_dims("row")
    frame = part.to_dataframe().reset_index().drop(columns="row", errors="ignore")
    for name, variable in part.data_vars.items():
        if "flag_meanings" in variable.attrs:
            words = variable.attrs["flag_meanings"].split()
            codes = [int(code) for code in variable.attrs["flag_values"]]
            frame[name] = frame[name].map(dict(zip(codes, words, strict=True)))
    frame = frame.rename(
        columns={
            name: part[name].attrs.get("column", name)
            for name in frame
            if name in part.variables
        }
    )
    if kind:
        frame.insert(0, "kind", kind)
    return frame
