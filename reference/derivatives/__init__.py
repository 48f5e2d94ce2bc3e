"""How the outputs of legacy networks change with their inputs: by the chain rule, each operation's own derivative."""
