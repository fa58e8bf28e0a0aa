"""The methods of aria2: each translates its parameters to the service, and errors of the service to those of aria2."""
