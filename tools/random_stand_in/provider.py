"""The provider's gRPC service: Pulumi's questions, answered from `resources`."""

from __future__ import annotations

from typing import Any

import grpc
from google.protobuf import empty_pb2
from pulumi.runtime.proto import plugin_pb2, provider_pb2, provider_pb2_grpc

from . import wire
from .resources import KINDS, Invalid, Kind

VERSION = "4.21.4"


class RandomProvider(provider_pb2_grpc.ResourceProviderServicer):
    """Serves the tokens of `KINDS`; any other token is an error that says so."""

    def GetPluginInfo(self, request: Any, context: grpc.ServicerContext) -> Any:
        return plugin_pb2.PluginInfo(version=VERSION)

    def GetSchema(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.GetSchemaResponse(schema=f'{{"name":"random","version":"{VERSION}"}}')

    def CheckConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.CheckResponse(inputs=request.news)

    def DiffConfig(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.DiffResponse(changes=provider_pb2.DiffResponse.DIFF_NONE)

    def Configure(self, request: Any, context: grpc.ServicerContext) -> Any:
        return provider_pb2.ConfigureResponse(acceptSecrets=True, supportsPreview=True)

    def Check(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = _kind(request.urn, context)
        inputs = wire.read(request.news)
        failures = [
            provider_pb2.CheckFailure(property=name, reason=f"{name} is not a property of this resource")
            for name in sorted(inputs.keys() - kind.inputs - {"__defaults"})
        ]
        try:
            if kind.required not in inputs:
                raise Invalid(kind.required, "a value is required")
            kind.check(kind.settled(inputs))
        except Invalid as error:
            failures.append(provider_pb2.CheckFailure(property=error.property_name, reason=error.reason))
        return provider_pb2.CheckResponse(inputs=request.news, failures=failures)

    def Diff(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = _kind(request.urn, context)
        before = wire.read(request.old_inputs if request.old_inputs.fields else request.olds)
        changed = [
            name for name in kind.changed(before, wire.read(request.news)) if name not in set(request.ignoreChanges)
        ]
        return provider_pb2.DiffResponse(
            changes=provider_pb2.DiffResponse.DIFF_SOME if changed else provider_pb2.DiffResponse.DIFF_NONE,
            replaces=changed,
            diffs=changed,
        )

    def Create(self, request: Any, context: grpc.ServicerContext) -> Any:
        kind = _kind(request.urn, context)
        inputs = kind.settled(wire.read(request.properties))
        if request.preview:
            made = dict.fromkeys(kind.computed, wire.UNKNOWN)
            return provider_pb2.CreateResponse(properties=wire.write({**inputs, **made}, kind.secret))
        made = kind.make(inputs)
        return provider_pb2.CreateResponse(id=made["id"], properties=_state(kind, inputs, made))

    def Read(self, request: Any, context: grpc.ServicerContext) -> Any:
        if request.properties.fields:
            # A refresh: the state is all there is to know.
            return provider_pb2.ReadResponse(id=request.id, properties=request.properties, inputs=request.inputs)
        kind = _kind(request.urn, context)
        try:
            found = kind.restore(request.id)
        except ValueError as error:
            context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"not an importable id for {request.urn}: {error}")
        inputs = kind.settled(found)
        return provider_pb2.ReadResponse(
            id=found["id"], properties=_state(kind, inputs, found), inputs=wire.write(inputs)
        )

    def Delete(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()

    def Cancel(self, request: Any, context: grpc.ServicerContext) -> Any:
        return empty_pb2.Empty()


def _state(kind: Kind, inputs: dict[str, Any], made: dict[str, Any]) -> Any:
    meta = {"__meta": kind.meta} if kind.meta else {}
    return wire.write({**inputs, **made, **meta}, kind.secret)


def _kind(urn: str, context: grpc.ServicerContext) -> Kind:
    token = urn.split("::")[2].split("$")[-1]
    if token not in KINDS:
        context.abort(
            grpc.StatusCode.UNIMPLEMENTED,
            f"{token} is not served by Till's air-gapped stand-in of `random`, only by the official plugin "
            f"{VERSION}: install that with `pulumi plugin install resource random v{VERSION}`",
        )
    return KINDS[token]
