// Command ext-authz answers Envoy's authorization checks, traced by OpenTelemetry.
package main

import (
	"context"
	"errors"
	"log"
	"net"
	"os"
	"os/signal"
	"syscall"
	"time"

	authv3 "github.com/envoyproxy/go-control-plane/envoy/service/auth/v3"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc"
	"go.opentelemetry.io/contrib/instrumentation/google.golang.org/grpc/otelgrpc/filters"
	"google.golang.org/grpc"
	"google.golang.org/grpc/health"
	healthv1 "google.golang.org/grpc/health/grpc_health_v1"
)

const flushTimeout = 5 * time.Second

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}

// run serves until the context ends, then exports the queued spans.
func run(ctx context.Context) (err error) {
	provider, err := configureTracing(ctx)
	if err != nil {
		return err
	}
	defer func() {
		// The context has ended by now.
		flush, cancel := context.WithTimeout(context.Background(), flushTimeout)
		defer cancel()
		err = errors.Join(err, provider.Shutdown(flush))
	}()
	address := os.Getenv("LISTEN_ADDRESS")
	if address == "" {
		address = "127.0.0.1:9000"
	}
	listener, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	server := newServer()
	context.AfterFunc(ctx, server.GracefulStop)
	log.Printf("listening on %s", listener.Addr())
	return server.Serve(listener)
}

// newServer returns a gRPC server with the authorization and health services. Health checks have no spans.
func newServer() *grpc.Server {
	traced := otelgrpc.NewServerHandler(otelgrpc.WithFilter(filters.Not(filters.HealthCheck())))
	server := grpc.NewServer(grpc.StatsHandler(traced))
	authv3.RegisterAuthorizationServer(server, authorizer{})
	healthv1.RegisterHealthServer(server, health.NewServer())
	return server
}
