"""May it be fetched? Pure judgements of URL, host, address and redirect, and the connector that applies them."""
