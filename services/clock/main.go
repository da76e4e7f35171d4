// Clock tells the time by HTTP: the smallest app that Till deploys.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"
)

const (
	readHeaderTimeout = 5 * time.Second
	// Shorter than the time that a slot has to stop.
	drainTimeout = 10 * time.Second
	longestWait  = 5 * time.Second
)

func main() {
	port := os.Getenv("PORT")
	if port == "" {
		log.Fatal("PORT is not set: it says where to listen")
	}
	server := &http.Server{
		Addr:              net.JoinHostPort(os.Getenv("HOSTNAME"), port),
		Handler:           routes(os.Getenv("APP_VERSION")),
		ReadHeaderTimeout: readHeaderTimeout,
	}
	stop, release := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer release()
	drained := make(chan error, 1)
	go func() {
		<-stop.Done()
		limit, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		drained <- server.Shutdown(limit)
	}()
	log.Printf("listening on %s", server.Addr)
	if err := server.ListenAndServe(); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-drained; err != nil {
		log.Fatalf("requests were cut off after %s: %v", drainTimeout, err)
	}
}

func routes(version string) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /{$}", tell)
	mux.HandleFunc("GET /api/health", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"status": "ok"})
	})
	mux.HandleFunc("GET /version", func(w http.ResponseWriter, _ *http.Request) {
		answer(w, map[string]string{"version": version})
	})
	return mux
}

// tell answers with the time, after `wait` (like 500ms) if that is asked for.
func tell(w http.ResponseWriter, r *http.Request) {
	if text := r.URL.Query().Get("wait"); text != "" {
		wait, err := time.ParseDuration(text)
		if err != nil || wait < 0 || wait > longestWait {
			http.Error(w, "wait is a time of at most "+longestWait.String(), http.StatusBadRequest)
			return
		}
		select {
		case <-time.After(wait):
		case <-r.Context().Done():
			return
		}
	}
	answer(w, map[string]string{"time": time.Now().UTC().Format(time.RFC3339Nano)})
}

func answer(w http.ResponseWriter, content any) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if err := json.NewEncoder(w).Encode(content); err != nil {
		log.Printf("an answer was not taken: %v", err)
	}
}
