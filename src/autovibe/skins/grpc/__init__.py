"""gRPC: every operation, for our own processes, built from the descriptors."""

from autovibe.skins.grpc.server import GrpcServer, serve_grpc

__all__ = ["GrpcServer", "serve_grpc"]
