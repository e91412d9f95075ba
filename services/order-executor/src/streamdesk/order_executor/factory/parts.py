"""Parts whose files may be wrong: the error names the setting."""

from pydantic import SecretStr

from streamdesk.order_executor.adapters.database import Database, TableSet
from streamdesk.order_executor.adapters.ledger import Ledger
from streamdesk.order_executor.adapters.market_tables import market_tables
from streamdesk.order_executor.application.follow_rates import RatesFile, read_rates_file
from streamdesk.order_executor.config import ACCOUNT_CURRENCY, Settings
from streamdesk.runtime import BadSettingError
from streamdesk.trading.errors import MarketTableError, RateFileError
from streamdesk.trading.policy import Policy
from streamdesk.trading.rates import RateBook


def policy_of(settings: Settings) -> Policy:
    """The numbers that decisions go by.

    Raises:
        BadSettingError: the tables of the markets cannot be used.
    """
    folder = settings.market_tables_folder
    try:
        return settings.policy(market_tables(folder))
    except MarketTableError as error:
        raise BadSettingError("MARKET_TABLES_FOLDER", folder, f"usable tables: {error}") from None


def rates_of(settings: Settings) -> RateBook:
    """The value of the currencies, from the setting or the file.

    Raises:
        BadSettingError: the file of rates cannot be used.
    """
    rates = settings.rates()
    if settings.rates_file is not None:
        try:
            rates.use(read_rates_file(settings.rates_file, ACCOUNT_CURRENCY))
        except RateFileError as error:
            expected = f"usable rates: {error}"
            raise BadSettingError("RATES_FILE", settings.rates_file, expected) from None
    return rates


def rates_file_of(settings: Settings, ledger: Ledger) -> RatesFile | None:
    """The file of rates, to be followed; None without one."""
    if settings.rates_file is None:
        return None
    return RatesFile(
        ledger, settings.rates_file, lambda path: read_rates_file(path, ACCOUNT_CURRENCY)
    )


def database_of(settings: Settings, url: SecretStr, tables: TableSet) -> Database:
    """A database with the time-outs of the settings."""
    waits = settings.database_timeout_seconds, settings.database_answer_seconds
    return Database(url.get_secret_value(), tables, *waits)
