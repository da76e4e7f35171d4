module clock.example/clock

go 1.24
