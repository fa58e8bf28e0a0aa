"""Options of aria2, as its configuration file and its input files state them: values, and options without a use."""
