"""Options of aria2: values are checked as aria2 checks them, applied to downloads, and reported in canonical form."""
