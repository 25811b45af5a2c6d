"""Series: `data=nyc_weather`, `etth1`, `etth2`, `ettm1`, `ettm2`, `exchange_rate`, `csv`. Batches are dicts of tensors."""

from datamodules.series.module import Prepared, SeriesData
from datamodules.series.sets import ETT, Csv, ExchangeRate, NycWeather
from datamodules.series.windows import Windows

__all__ = ["ETT", "Csv", "ExchangeRate", "NycWeather", "Prepared", "SeriesData", "Windows"]
