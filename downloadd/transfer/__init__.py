"""Transfer of a representation into a part file: one attempt, from the request to the last byte."""
