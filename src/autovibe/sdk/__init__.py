"""The client: the contract's Protocols, and remote twins of the services over HTTP and gRPC."""
