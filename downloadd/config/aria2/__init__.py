"""An `aria2.conf` as a source of the configuration: one table says what becomes of each option."""
