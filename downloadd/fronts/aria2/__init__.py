"""The RPC interface of aria2: JSON-RPC, WebSocket and XML-RPC, so that its clients work unchanged."""
