# Completion of downloadctl for bash, loaded by bash-completion at the first use.
eval "$(downloadctl completion bash)"
