// Closed classes: two members of one class never mean the same, so questions that differ in them differ.

/** Class name, colon, members; variants of one member are joined by '='. */
export const classes = `
weekday: monday tuesday=tues wednesday thursday=thurs friday saturday sunday
month: january=jan february=feb march april may june july august=aug september=sept october=oct november=nov december=dec
season: spring summer autumn winter
time: now=currently=presently=current=nowadays today tomorrow yesterday tonight
recurrence: hourly daily weekly monthly quarterly annually=yearly=annual
unit of length: meter=metre=m kilometer=kilometre=km centimeter=centimetre=cm millimeter=millimetre=mm mile=mi yard=yd foot=ft inch nanometer=nm lightyear acre hectare furlong
unit of weight: gram=gramme=g kilogram=kilo=kg milligram=mg microgram=mcg pound=lb ounce=oz tonne=ton
unit of volume: liter=litre=l milliliter=millilitre=ml gallon=gal pint=pt quart=qt cup tablespoon=tbsp teaspoon=tsp
unit of temperature: celsius=centigrade=°c fahrenheit=°f kelvin
unit of duration: millisecond=ms second=sec minute=min hour=hr day week month year=yr decade century fortnight
unit of data: byte=b kilobyte=kb megabyte=mb gigabyte=gb terabyte=tb petabyte=pb bit kibibyte=kib mebibyte=mib gibibyte=gib
unit of energy: joule=j calorie=kcal watt=w kilowatt=kw kwh horsepower=hp volt=v ampere=amp=amps
unit of speed: mph kph=kmh knot mach
unit of pressure: psi pascal=pa bar atm
unit of angle: degree=° radian=rad
unit of money: dollar=usd=$ euro=eur=€ pound=gbp=£=sterling yen=jpy=¥ yuan=cny=rmb rupee=inr=₹ franc=chf won=krw peso=mxn ruble=rub=rouble bitcoin=btc ether=eth cent penny
colour: red blue green yellow orange purple=violet pink brown black white gray=grey
family: mother=mom=mum father=dad son daughter brother sister uncle aunt grandmother=grandma grandfather=grandpa husband wife nephew niece cousin
meal: breakfast lunch dinner=supper brunch
compass: north=northern south=southern east=eastern west=western
quantifier: all=every=each none no most=majority some=any half only both either
shape: mean median mode
aggregate: average=avg minimum=min maximum=max total=sum count
relation in time: before after during=while until
rank: first=1st second=2nd third=3rd fourth=4th fifth=5th sixth=6th seventh=7th eighth=8th ninth=9th tenth=10th last
continent: africa europe asia america australia antarctica oceania
`;

/** Number words and their digits. `one` is left out: it stands for too much else. */
export const numberWords = `
zero=0 two=2 three=3 four=4 five=5 six=6 seven=7 eight=8 nine=9 ten=10 eleven=11 twelve=12 dozen=12 thirteen=13 fourteen=14 fifteen=15 sixteen=16
seventeen=17 eighteen=18 nineteen=19 twenty=20 thirty=30 forty=40 fifty=50 sixty=60 seventy=70 eighty=80 ninety=90 hundred=100 thousand=1000 million=1000000 billion=1000000000
`;

/** Words that turn a statement into its contrary. */
export const negations = `not no never without none nobody nothing nowhere neither nor cannot except excluding exclude unless avoid lack lacking`;
