package main

import (
	"context"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	typev3 "github.com/envoyproxy/go-control-plane/envoy/type/v3"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	oteltrace "go.opentelemetry.io/otel/trace"
	"google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/grpc/codes"
)

var tracer = otel.Tracer("ext-authz")

// authorizer allows requests that have a bearer token.
type authorizer struct {
	authv3.UnimplementedAuthorizationServer
}

// Check answers one authorization check. A denied request is no error of this service: its span has no error status.
func (authorizer) Check(ctx context.Context, check *authv3.CheckRequest) (*authv3.CheckResponse, error) {
	ctx, span := tracer.Start(ctx, "authorize")
	defer span.End()
	request := check.GetAttributes().GetRequest().GetHttp()
	path, _, _ := strings.Cut(request.GetPath(), "?")
	span.SetAttributes(
		attribute.String("http.request.method", request.GetMethod()),
		attribute.String("url.path", path),
	)
	if !hasToken(request.GetHeaders()) {
		span.SetAttributes(attribute.String("authz.decision", "denied"), attribute.String("authz.reason", "no token"))
		return denied(ctx), nil
	}
	span.SetAttributes(attribute.String("authz.decision", "allowed"))
	return &authv3.CheckResponse{Status: &status.Status{Code: int32(codes.OK)}}, nil
}

// hasToken stands for the verification of a token.
func hasToken(headers map[string]string) bool {
	token, found := strings.CutPrefix(headers["authorization"], "Bearer ")
	return found && token != ""
}

// denied returns a 401 with the trace id, which the caller can report.
func denied(ctx context.Context) *authv3.CheckResponse {
	id := oteltrace.SpanContextFromContext(ctx).TraceID().String()
	return &authv3.CheckResponse{
		Status: &status.Status{Code: int32(codes.Unauthenticated)},
		HttpResponse: &authv3.CheckResponse_DeniedResponse{DeniedResponse: &authv3.DeniedHttpResponse{
			Status:  &typev3.HttpStatus{Code: typev3.StatusCode_Unauthorized},
			Headers: []*corev3.HeaderValueOption{{Header: &corev3.HeaderValue{Key: "x-trace-id", Value: id}}},
			Body:    "a bearer token is required\n",
		}},
	}
}
